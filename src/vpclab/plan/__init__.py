"""`vpc-cni plan`: what settings do to a cluster, from the daemon's own decisions against the region in virtual time.

scenario = read_scenario(path)          # reading.py: YAML, strict
outcomes = simulate(scenario, jobs=2)   # run.py: one process for each policy
"""
