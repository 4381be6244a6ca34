-- What 0002 left out, for whoever comes from schema 1: an async job that was there before there were transitions begins with the state it
-- is in. Without one it could neither be told of nor leave that state.
INSERT INTO transitions (job_seq, sequence, previous_state, state, attempt, at, error_code, error_message)
  SELECT seq, 1, NULL, state, attempt, updated_at, error_code, error_message FROM jobs WHERE kind = 'async';

INSERT INTO deliveries (job_seq, sequence, origin, due_at)
  SELECT seq, 1, substr(webhook_url, 1, instr(substr(webhook_url, 9) || '/', '/') + 7), updated_at
  FROM jobs WHERE kind = 'async' AND webhook_url IS NOT NULL;
