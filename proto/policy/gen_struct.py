#!/usr/bin/env python3
"""gen_struct.py PROTOC OUTDIR - C form of google/protobuf/struct.proto.

protoc writes it to OUTDIR/google/protobuf/, where the generated includes look for it; the build
wants outputs in OUTDIR itself, so small forwarding files are put there.
"""
import pathlib
import subprocess
import sys

protoc, out = sys.argv[1], pathlib.Path(sys.argv[2])
subprocess.run([protoc, f'--c_out={out}', 'google/protobuf/struct.proto'], check=True)
for end in ('c', 'h'):
    (out / f'struct.pb-c.{end}').write_text(f'#include "google/protobuf/struct.pb-c.{end}"\n')
