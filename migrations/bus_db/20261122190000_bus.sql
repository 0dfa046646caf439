-- Topics, queues and subscriptions for one machine, on queues of PGMQ. Messages are rows of pgmq.q_<queue>; what PGMQ
-- lacks to behave as SNS and SQS do is here: fan-out by filter policy, receipts, and redrive.
--
-- A receipt is (msg_id, read_ct, when it was handed out, in microseconds): PGMQ's own delete and set_vt take the id
-- alone, so whoever was late could settle the delivery of another. The time tells deliveries apart whose count a crash of
-- the server took back. A message's id and its attributes are its headers; its body is a JSON string, so that bytes which
-- mean nothing stay what they were.
--
-- Functions name tables of PGMQ only when they run, so this file can be applied before PGMQ is there.
CREATE SCHEMA bus;

CREATE TABLE bus.topics (
    name text PRIMARY KEY
);

-- PGMQ lower-cases the names of its tables, and the longest identifier that it makes of a name adds sixteen characters.
CREATE TABLE bus.queues (
    name              text PRIMARY KEY CHECK (name ~ '^[a-z0-9_-]{1,47}$' AND name !~ '--'),
    dead_letter_queue text REFERENCES bus.queues CHECK (dead_letter_queue <> name),
    max_receive_count integer CHECK (max_receive_count > 0),
    CHECK ((dead_letter_queue IS NULL) = (max_receive_count IS NULL))
);

-- A filter policy as SNS has them on message attributes: {"type": ["user.created"]}.
CREATE TABLE bus.subscriptions (
    topic         text NOT NULL REFERENCES bus.topics ON DELETE CASCADE,
    queue         text NOT NULL REFERENCES bus.queues ON DELETE CASCADE,
    filter_policy jsonb NOT NULL CHECK (jsonb_typeof(filter_policy) = 'object'),
    PRIMARY KEY (topic, queue)
);

-- Whether each attribute that the policy names has one of the values that it accepts.
CREATE FUNCTION bus.passes(filter_policy jsonb, attributes jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE AS $$
    SELECT NOT EXISTS (
        SELECT
          FROM jsonb_each(filter_policy) AS rule (attribute, accepted)
         WHERE (accepted ? (attributes ->> attribute)) IS NOT TRUE
    )
$$;

-- Makes a queue, or sets what an existing one does with messages that are received too often.
CREATE FUNCTION bus.create_queue(queue_name text, dead_letter_queue text, max_receive_count integer) RETURNS void
    LANGUAGE plpgsql AS $$
BEGIN
    IF to_regclass(format('pgmq.%I', 'q_' || queue_name)) IS NULL THEN
        PERFORM pgmq.create(queue_name);
        -- Every row dies within minutes: vacuum by their number, not by a share of the table.
        EXECUTE format(
            'ALTER TABLE pgmq.%I SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000)',
            'q_' || queue_name
        );
    END IF;
    INSERT INTO bus.queues VALUES (queue_name, create_queue.dead_letter_queue, create_queue.max_receive_count)
    ON CONFLICT (name) DO UPDATE
        SET dead_letter_queue = EXCLUDED.dead_letter_queue, max_receive_count = EXCLUDED.max_receive_count;
END
$$;

-- Drops a queue with everything in it. Answers whether it was there.
CREATE FUNCTION bus.drop_queue(queue_name text) RETURNS boolean
    LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM bus.queues WHERE name = queue_name;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM pgmq.drop_queue(queue_name);
    RETURN true;
END
$$;

-- Appends messages to a queue and tells who waits for them.
CREATE FUNCTION bus.put(queue_name text, ids uuid[], bodies text[], attributes jsonb[]) RETURNS void
    LANGUAGE plpgsql AS $$
DECLARE
    messages jsonb[];
    headers  jsonb[];
BEGIN
    SELECT array_agg(to_jsonb(body) ORDER BY position),
           array_agg(jsonb_build_object('id', id, 'attributes', attribute) ORDER BY position)
      INTO messages, headers
      FROM unnest(ids, bodies, attributes) WITH ORDINALITY AS message (id, body, attribute, position);
    PERFORM pgmq.send_batch(queue_name, messages, headers);
    PERFORM pg_notify('waypost_bus', queue_name);
END
$$;

-- Sends straight to a queue. Answers the messages' ids, in order.
CREATE FUNCTION bus.send(queue_name text, bodies text[], attributes text[]) RETURNS uuid[]
    LANGUAGE plpgsql AS $$
DECLARE
    ids uuid[] := ARRAY (SELECT gen_random_uuid() FROM generate_subscripts(bodies, 1));
BEGIN
    PERFORM bus.put(queue_name, ids, bodies, attributes::jsonb[]);
    RETURN ids;
END
$$;

-- Puts messages into every queue that is subscribed to the topic and whose filter policy they pass; all or none. Answers
-- their ids, in order; NULL where there is no such topic.
CREATE FUNCTION bus.publish(topic_name text, bodies text[], attributes text[]) RETURNS uuid[]
    LANGUAGE plpgsql AS $$
DECLARE
    ids          uuid[] := ARRAY (SELECT gen_random_uuid() FROM generate_subscripts(bodies, 1));
    subscription bus.subscriptions;
    chosen       record;
BEGIN
    PERFORM FROM bus.topics WHERE name = topic_name;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    FOR subscription IN SELECT * FROM bus.subscriptions WHERE topic = topic_name ORDER BY queue LOOP
        SELECT array_agg(id ORDER BY position)        AS ids,
               array_agg(body ORDER BY position)      AS bodies,
               array_agg(attribute ORDER BY position) AS attributes
          INTO chosen
          FROM unnest(ids, bodies, attributes::jsonb[])
               WITH ORDINALITY AS message (id, body, attribute, position)
         WHERE bus.passes(subscription.filter_policy, attribute);
        IF chosen.ids IS NOT NULL THEN
            PERFORM bus.put(subscription.queue, chosen.ids, chosen.bodies, chosen.attributes);
        END IF;
    END LOOP;
    RETURN ids;
END
$$;

-- Hands out at most this many messages and hides them. One that was handed out as often as its queue allows moves to the
-- dead-letter queue instead, in this same transaction; where all that is due does, the answer is empty, and the next one
-- tells more.
--
-- Commits without waiting for the disk, as delete and change_visibility do: where the server crashes within the next
-- moment, messages are handed out once more, which can happen anyway.
CREATE FUNCTION bus.receive(queue_name text, most integer, visibility_seconds double precision)
    RETURNS TABLE (
        msg_id bigint, read_ct integer, read_us bigint, id text, body text, attributes text, sent_at timestamptz
    )
    LANGUAGE plpgsql AS $$
DECLARE
    queue bus.queues;
    fresh bigint[];
    spent bigint[];
    -- A parameter and not a call, for which no index would be used.
    now_is timestamptz := clock_timestamp();
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    SELECT * INTO queue FROM bus.queues WHERE name = queue_name;
    IF NOT FOUND THEN
        RAISE 'there is no queue %', queue_name USING ERRCODE = 'undefined_table';
    END IF;
    EXECUTE format(
        'SELECT array_agg(msg_id) FILTER (WHERE read_ct < $3), array_agg(msg_id) FILTER (WHERE read_ct >= $3)
           FROM (SELECT msg_id, read_ct FROM pgmq.%I
                  WHERE vt <= $1 ORDER BY vt LIMIT $2 FOR UPDATE SKIP LOCKED) AS due',
        'q_' || queue_name
    ) INTO fresh, spent USING now_is, most, coalesce(queue.max_receive_count, 'infinity'::float8);
    IF spent IS NOT NULL THEN
        EXECUTE format(
            'WITH gone AS (DELETE FROM pgmq.%I WHERE msg_id = ANY ($1) RETURNING *)
             INSERT INTO pgmq.%I (enqueued_at, vt, message, headers)
             SELECT enqueued_at, $2, message, headers FROM gone ORDER BY msg_id',
            'q_' || queue_name, 'q_' || queue.dead_letter_queue
        ) USING spent, now_is;
        PERFORM pg_notify('waypost_bus', queue.dead_letter_queue);
    END IF;
    IF fresh IS NOT NULL THEN
        RETURN QUERY EXECUTE format(
            'UPDATE pgmq.%I
                SET read_ct = read_ct + 1, last_read_at = $2, vt = $2 + make_interval(secs => $3)
              WHERE msg_id = ANY ($1)
          RETURNING msg_id, read_ct, (extract(epoch FROM last_read_at) * 1000000)::bigint, coalesce(headers ->> ''id'', msg_id::text), message #>> ''{}'',
                    headers ->> ''attributes'', enqueued_at',
            'q_' || queue_name
        ) USING fresh, clock_timestamp(), visibility_seconds;
    END IF;
END
$$;

-- Seconds until the queue's next message can be received; NULL where it holds none.
CREATE FUNCTION bus.next_visible(queue_name text) RETURNS double precision
    LANGUAGE plpgsql AS $$
DECLARE
    next_at timestamptz;
BEGIN
    EXECUTE format('SELECT min(vt) FROM pgmq.%I WHERE vt < ''infinity''', 'q_' || queue_name) INTO next_at;
    -- Not greatest() alone, which passes over NULL.
    RETURN CASE WHEN next_at IS NOT NULL THEN greatest(extract(epoch FROM next_at - clock_timestamp()), 0) END;
END
$$;

-- Deletes deliveries. For each receipt in order: false where the message has been handed out again since. True where it
-- is not there (any more), though it may be in the dead-letter queue by now.
CREATE FUNCTION bus.delete(queue_name text, msg_ids bigint[], read_cts integer[], read_us bigint[]) RETURNS boolean[]
    LANGUAGE plpgsql AS $$
DECLARE
    results boolean[];
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    -- Locked in order, so that two of these can't wait for each other.
    EXECUTE format(
        'WITH present AS (SELECT msg_id, read_ct, (extract(epoch FROM last_read_at) * 1000000)::bigint AS read_us
                            FROM pgmq.%1$I WHERE msg_id = ANY ($1) ORDER BY msg_id FOR UPDATE),
              asked AS (SELECT * FROM unnest($1, $2, $3)
                                      WITH ORDINALITY AS receipt (msg_id, read_ct, read_us, position)),
              gone AS (DELETE FROM pgmq.%1$I AS message USING asked JOIN present USING (msg_id, read_ct, read_us)
                        WHERE message.msg_id = asked.msg_id)
         SELECT array_agg(present.msg_id IS NULL
                          OR (present.read_ct, present.read_us) IS NOT DISTINCT FROM (asked.read_ct, asked.read_us)
                          ORDER BY position)
           FROM asked LEFT JOIN present USING (msg_id)',
        'q_' || queue_name
    ) INTO results USING msg_ids, read_cts, read_us;
    RETURN results;
END
$$;

-- Sets how long, from now, deliveries stay hidden. For each receipt in order: false where the message is no longer in
-- flight, or was handed out again since.
CREATE FUNCTION bus.change_visibility(
    queue_name text, msg_ids bigint[], read_cts integer[], read_us bigint[], seconds double precision[]
) RETURNS boolean[]
    LANGUAGE plpgsql AS $$
DECLARE
    results boolean[];
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    EXECUTE format(
        'WITH held AS (SELECT msg_id, read_ct, (extract(epoch FROM last_read_at) * 1000000)::bigint AS read_us
                         FROM pgmq.%1$I WHERE msg_id = ANY ($1) AND vt > $5 ORDER BY msg_id FOR UPDATE),
              asked AS (SELECT * FROM unnest($1, $2, $3, $4)
                                      WITH ORDINALITY AS change (msg_id, read_ct, read_us, seconds, position)),
              changed AS (UPDATE pgmq.%1$I AS message SET vt = $5 + make_interval(secs => asked.seconds)
                            FROM asked JOIN held USING (msg_id, read_ct, read_us)
                           WHERE message.msg_id = asked.msg_id)
         SELECT array_agg(held.msg_id IS NOT NULL ORDER BY position)
           FROM asked LEFT JOIN held USING (msg_id, read_ct, read_us)',
        'q_' || queue_name
    ) INTO results USING msg_ids, read_cts, read_us, seconds, clock_timestamp();
    IF 0 >= ANY (seconds) THEN
        PERFORM pg_notify('waypost_bus', queue_name);
    END IF;
    RETURN results;
END
$$;

CREATE FUNCTION bus.counts(queue_name text) RETURNS TABLE (visible bigint, in_flight bigint)
    LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT count(*) FILTER (WHERE vt <= $1), count(*) FILTER (WHERE vt > $1) FROM pgmq.%I', 'q_' || queue_name
    ) USING clock_timestamp();
END
$$;
