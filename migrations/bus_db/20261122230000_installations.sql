-- Whose topics and queues they are. Several installations may share a database, and where one of them has no prefix their
-- names don't tell. NULL: made before this, or by hand; applying the topology marks what it names.
ALTER TABLE bus.topics ADD COLUMN installation text;
ALTER TABLE bus.queues
    ADD COLUMN installation text,
    ADD COLUMN made_at timestamptz NOT NULL DEFAULT now();

-- Drops a queue that holds nothing; answers whether it is gone. Whoever sends meanwhile waits, and then misses the queue.
CREATE FUNCTION bus.drop_empty_queue(queue_name text) RETURNS boolean
    LANGUAGE plpgsql AS $$
DECLARE
    holds_something boolean := false;
BEGIN
    IF to_regclass(format('pgmq.%I', 'q_' || queue_name)) IS NOT NULL THEN
        EXECUTE format('LOCK TABLE pgmq.%I IN ACCESS EXCLUSIVE MODE', 'q_' || queue_name);
        EXECUTE format('SELECT EXISTS (SELECT FROM pgmq.%I)', 'q_' || queue_name) INTO holds_something;
    END IF;
    IF NOT holds_something THEN
        PERFORM bus.drop_queue(queue_name);
    END IF;
    RETURN NOT holds_something;
END
$$;
