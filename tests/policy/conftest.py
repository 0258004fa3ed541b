"""Settings of the property tests: no deadlines (a busy machine is no fault), failures to replay."""

from hypothesis import settings

settings.register_profile("farm", deadline=None, print_blob=True)
settings.load_profile("farm")
