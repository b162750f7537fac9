"""Is the infrastructure as code what a cluster would take, and what we would let it run?"""
