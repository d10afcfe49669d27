-- The forum itself: members and their sessions, topics and their posts.
-- Moments are microseconds since 1970. A removed member's posts stay, with nobody as their author.
CREATE TABLE setting (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
);
CREATE TABLE member (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    name_key TEXT NOT NULL UNIQUE,
    email TEXT NOT NULL,
    password TEXT,
    invitation TEXT UNIQUE,
    joined_at BIGINT NOT NULL
);
CREATE TABLE session (
    token TEXT PRIMARY KEY,
    member TEXT NOT NULL,
    ends_at BIGINT NOT NULL
);
CREATE INDEX session_member ON session (member);
CREATE TABLE topic (
    id TEXT PRIMARY KEY,
    title TEXT NOT NULL,
    folded TEXT NOT NULL,
    author TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    active_at BIGINT NOT NULL
);
CREATE INDEX topic_active ON topic (active_at, id);
CREATE TABLE post (
    id TEXT PRIMARY KEY,
    topic TEXT NOT NULL,
    author TEXT NOT NULL,
    body TEXT NOT NULL,
    folded TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX post_topic ON post (topic, created_at, id);
CREATE INDEX post_author ON post (author);
CREATE INDEX post_created ON post (created_at);
