"""A real cluster on the lab's machines: control plane, kubelet and containerd, with our CNI as its aws-node.

supplies = gather(lab, region, directory, say)                # programs and images; LabError if something is missing
cluster = Cluster(lab, eks, fabric, root, supplies, environment)
await cluster.start(study, say)                               # control plane, resolver, registry, add-ons
machine = cluster.make(name, instance, place)                 # a node: `vpclab.lab.kinds.NodeKind`
"""
