-- What product-service says of its products, as far as a wishlist shows it: so that one is read without calling anyone.
-- Events carry a description too; no wishlist shows one, so it isn't kept.
--
-- A row is one register: every event has the product's whole state, and whoever is newer by `sequence` wins, in whatever
-- order they come. Wishlist items have no foreign key on it: a product's event may come after the wish.

CREATE TABLE products (
    product_id  uuid        PRIMARY KEY,
    sku         text        NOT NULL,
    name        text        NOT NULL,
    -- In minor units.
    price_minor bigint      NOT NULL CHECK (price_minor >= 0),
    -- ISO 4217.
    currency    text        NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    status      text        NOT NULL CHECK (status IN ('available', 'unavailable', 'discontinued')),
    -- The product's version in product-service, as the event that was applied last had it.
    sequence    bigint      NOT NULL,
    -- When that event was applied.
    updated_at  timestamptz NOT NULL DEFAULT now()
);
