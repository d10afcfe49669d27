CREATE TABLE reports (
    day TEXT PRIMARY KEY,
    orders BIGINT NOT NULL,
    revenue BIGINT NOT NULL,
    text TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
