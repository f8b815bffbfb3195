"""What a person asks of a node: what is wrong with it (`vpc-cni doctor`), and which way a packet goes (`vpc-cni trace`).

Looks at the kernel, the files, the metadata service and EC2 as they are, whoever made them so; the agent is asked over its
sockets and may be dead. Of `vpccni.linux` it uses values, messages and dumps; what changes the host is called by
`vpccni.cli.doctor.mend` alone (import-linter holds to it).
"""
