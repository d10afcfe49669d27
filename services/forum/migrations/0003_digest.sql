-- What the daily job summed up, newest last.
CREATE TABLE digest (
    made_at BIGINT PRIMARY KEY,
    posts BIGINT NOT NULL,
    summary TEXT NOT NULL
);
