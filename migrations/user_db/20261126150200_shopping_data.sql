-- What users keep here themselves. No event fills these tables; an erasure empties them of the person, in the transaction
-- that makes the profile's row the tombstone. Whoever writes here locks that row first.
--
-- `version` is raised by each change of a row, for writers who must have seen the last one.

CREATE TABLE addresses (
    -- A UUID v7.
    id                  uuid        PRIMARY KEY,
    user_id             uuid        NOT NULL REFERENCES user_profiles (user_id),
    recipient           text        NOT NULL CHECK (char_length(recipient) BETWEEN 1 AND 200),
    line1               text        NOT NULL CHECK (char_length(line1) BETWEEN 1 AND 200),
    line2               text        CHECK (char_length(line2) BETWEEN 1 AND 200),
    city                text        NOT NULL CHECK (char_length(city) BETWEEN 1 AND 100),
    -- Not every country has regions, or postal codes.
    region              text        CHECK (char_length(region) BETWEEN 1 AND 100),
    postal_code         text        CHECK (char_length(postal_code) BETWEEN 1 AND 20),
    -- ISO 3166-1 alpha-2.
    country             text        NOT NULL CHECK (country ~ '^[A-Z]{2}$'),
    -- E.164.
    phone               text        CHECK (phone ~ '^\+[1-9][0-9]{6,14}$'),
    is_default_shipping boolean     NOT NULL DEFAULT false,
    is_default_billing  boolean     NOT NULL DEFAULT false,
    version             bigint      NOT NULL DEFAULT 1 CHECK (version > 0),
    created_at          timestamptz NOT NULL DEFAULT now(),
    updated_at          timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX addresses_user ON addresses (user_id, id);
CREATE UNIQUE INDEX addresses_default_shipping ON addresses (user_id) WHERE is_default_shipping;
CREATE UNIQUE INDEX addresses_default_billing ON addresses (user_id) WHERE is_default_billing;

-- What stands for a card at who charges it. A card's own number is never here.
CREATE TABLE payment_methods (
    id             uuid        PRIMARY KEY,
    user_id        uuid        NOT NULL REFERENCES user_profiles (user_id),
    provider       text        NOT NULL CHECK (provider ~ '^[a-z][a-z0-9-]{0,63}$'),
    provider_token text        NOT NULL CHECK (char_length(provider_token) BETWEEN 1 AND 255),
    brand          text        NOT NULL CHECK (brand ~ '^[a-z][a-z0-9-]{0,63}$'),
    last4          text        NOT NULL CHECK (last4 ~ '^[0-9]{4}$'),
    exp_month      smallint    NOT NULL CHECK (exp_month BETWEEN 1 AND 12),
    exp_year       smallint    NOT NULL CHECK (exp_year BETWEEN 2000 AND 9999),
    is_default     boolean     NOT NULL DEFAULT false,
    version        bigint      NOT NULL DEFAULT 1 CHECK (version > 0),
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    UNIQUE (provider, provider_token),
    CONSTRAINT payment_methods_token_is_no_card_number CHECK (provider_token !~ '^[0-9 -]{12,}$')
);

CREATE INDEX payment_methods_user ON payment_methods (user_id, id);
CREATE UNIQUE INDEX payment_methods_default ON payment_methods (user_id) WHERE is_default;

-- Whoever has no row has the defaults.
CREATE TABLE user_preferences (
    user_id            uuid        PRIMARY KEY REFERENCES user_profiles (user_id),
    -- BCP 47, as events have it.
    locale             text        NOT NULL DEFAULT 'en'
                                   CHECK (locale ~ '^[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?$'),
    -- ISO 4217.
    currency           text        NOT NULL DEFAULT 'EUR' CHECK (currency ~ '^[A-Z]{3}$'),
    -- Of the IANA's database.
    time_zone          text        NOT NULL DEFAULT 'UTC' CHECK (char_length(time_zone) BETWEEN 1 AND 64),
    -- Nobody is written to unasked.
    marketing_emails   boolean     NOT NULL DEFAULT false,
    price_drop_emails  boolean     NOT NULL DEFAULT false,
    version            bigint      NOT NULL DEFAULT 1 CHECK (version > 0),
    created_at         timestamptz NOT NULL DEFAULT now(),
    updated_at         timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE wishlist_items (
    user_id                uuid        NOT NULL REFERENCES user_profiles (user_id),
    product_id             uuid        NOT NULL,
    added_at               timestamptz NOT NULL DEFAULT now(),
    -- In minor units; NULL where the product was not known here.
    price_when_added_minor bigint      CHECK (price_when_added_minor >= 0),
    currency               text        CHECK (currency ~ '^[A-Z]{3}$'),
    PRIMARY KEY (user_id, product_id),
    CONSTRAINT wishlist_items_price_has_currency CHECK ((price_when_added_minor IS NULL) = (currency IS NULL))
);

-- For what is told of a product.
CREATE INDEX wishlist_items_product ON wishlist_items (product_id);
