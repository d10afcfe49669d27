CREATE TABLE coupons (
    code TEXT PRIMARY KEY,
    percent BIGINT NOT NULL CHECK (percent BETWEEN 1 AND 100),
    uses BIGINT NOT NULL,
    uses_max BIGINT NOT NULL,
    active BIGINT NOT NULL
);
CREATE TABLE reviews (
    id TEXT PRIMARY KEY,
    product_id TEXT NOT NULL REFERENCES products (id),
    author TEXT NOT NULL,
    stars BIGINT NOT NULL CHECK (stars BETWEEN 1 AND 5),
    text TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX reviews_by_product ON reviews (product_id, created_at);
