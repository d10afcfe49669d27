-- Polls: one vote per member and poll, which may be changed.
CREATE TABLE poll (
    id TEXT PRIMARY KEY,
    question TEXT NOT NULL,
    author TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE TABLE choice (
    id TEXT PRIMARY KEY,
    poll TEXT NOT NULL,
    place BIGINT NOT NULL,
    label TEXT NOT NULL
);
CREATE INDEX choice_poll ON choice (poll, place);
CREATE TABLE vote (
    poll TEXT NOT NULL,
    member TEXT NOT NULL,
    choice TEXT NOT NULL,
    PRIMARY KEY (poll, member)
);
CREATE INDEX vote_choice ON vote (choice);
