"""Prints what must differ from run to run, one to a line, and last the hash that only differs from build to build."""

import os
import random
import secrets
import tempfile
import uuid

print(random.random())
print(random.Random().random())
print(next(tempfile._get_candidate_names()))
print(uuid.uuid1().node)
print(uuid.uuid4())
print(os.urandom(8).hex())
print(secrets.token_hex(8))
print(hash("a"))
