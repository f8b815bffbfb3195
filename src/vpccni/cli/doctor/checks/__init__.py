"""The checks: pure judgements over the facts, a subject a file."""
