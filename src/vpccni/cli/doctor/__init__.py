"""`vpc-cni doctor`: what is wrong with a host, why it matters, and how to mend it.

Facts are gathered first, thinly; each check is a pure judgement over them; `--fix` does what a finding says is ours and safe.
"""
