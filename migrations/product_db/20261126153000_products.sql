-- The catalogue of products.

CREATE TABLE products (
    -- A UUID v7: the order of ids is the order in which products were added.
    id          uuid        PRIMARY KEY,
    -- A discontinued product keeps its own, so that one SKU is one product for ever.
    sku         text        NOT NULL CONSTRAINT products_sku UNIQUE,
    name        text        NOT NULL,
    description text,
    price_minor bigint      NOT NULL CONSTRAINT products_price_not_negative CHECK (price_minor >= 0),
    -- ISO 4217.
    currency    char(3)     NOT NULL CONSTRAINT products_currency_is_a_code CHECK (currency ~ '^[A-Z]{3}$'),
    status      text        NOT NULL
                CONSTRAINT products_status_known CHECK (status IN ('available', 'unavailable', 'discontinued')),
    -- The version of the product in its newest event.
    sequence    bigint      NOT NULL,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    -- No language's own rules: a catalogue holds names and numbers of many.
    search      tsvector    NOT NULL GENERATED ALWAYS AS (
        to_tsvector('simple'::regconfig, sku || ' ' || name || ' ' || coalesce(description, ''))
    ) STORED
);

CREATE INDEX products_search ON products USING gin (search);
-- The pages of a list are in the order of ids, whatever it is filtered by.
CREATE INDEX products_status ON products (status, id);
CREATE INDEX products_price ON products (currency, price_minor);
