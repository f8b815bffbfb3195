"""The daemon's decisions against the region in virtual time: discrete events in a heap, no threads, no sockets.

world = World(region, manners=…, seed=0)          # a region of one's own; or World.of_subnets(…)
node = world.add_node(instance, Setup(…))          # SimNode: the agent; node.crash(), node.start(), node.touched()
life = world.kubelet(node).run(Pod(…)); life.end()
world.run_until(seconds)
"""
