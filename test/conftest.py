"""For every pytest in test/: the harness is importable, and so are the modules beside a test."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
