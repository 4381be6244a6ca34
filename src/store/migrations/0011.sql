-- With what less a job was tried when it did not fit into the target's memory: a JSON list such as ["num_ctx=4096"]; NULL: it never came to that.
ALTER TABLE jobs ADD COLUMN relief TEXT;
