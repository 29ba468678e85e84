"""openshell-supervisor policy check, as a user runs it."""
import json
import os
import pathlib
import subprocess
import unittest

import lab
from lab import LabTest

BAD = '''version: 1
filesystem_policy:
  read_only: [usr]
network_policies:
  web:
    endpoints:
      - host: "*"
        port: 443
      - host: example.com
        prot: 443
    binaries: [/usr/bin/curl]
'''
SAMPLES = pathlib.Path(os.environ.get('OPENSHELL_SPEC_DIR') or pathlib.Path(__file__).parents[2] / '../shared/spec') / 'policies'


def check(*argv):
    return subprocess.run([str(lab.SUPERVISOR), 'policy', 'check', *map(str, argv)], capture_output=True, text=True, timeout=30)


class Check(LabTest):
    def write(self, text):
        path = pathlib.Path('/tmp/lab/check.yaml')
        path.write_text(text)
        self.addCleanup(path.unlink)
        return path

    def test_good_file_is_0(self):
        self.assertEqual(check(self.write(lab.policy())).returncode, 0)

    def test_all_problems_at_once_with_places_and_codes(self):
        done = check(self.write(BAD))
        self.assertEqual(done.returncode, 1)
        for want in (':3:', 'filesystem_policy.read_only[0]', ':7:', 'network_policies.web.endpoints[0].host', ':10:',
                     'did you mean `port`', ':11:', 'binaries', '[E'):
            self.assertIn(want, done.stderr)
        self.assertEqual(done.stdout, '')

    def test_json(self):
        path = self.write(BAD)
        done = check('--json', path)
        self.assertEqual(done.returncode, 1)
        report = json.loads(done.stdout)
        report = report[0] if isinstance(report, list) else report
        self.assertFalse(report['ok'])
        self.assertGreaterEqual(len(report['problems']), 4)
        self.assertIn('code', report['problems'][0])

    def test_missing_file_is_1(self):
        done = check('/nonexistent.yaml')
        self.assertEqual(done.returncode, 1)
        self.assertIn('/nonexistent.yaml', done.stderr)

    @unittest.skipUnless(SAMPLES.is_dir(), 'sample policies are not beside this checkout')
    def test_public_samples(self):
        for name in ('examples__sandbox-policy-quickstart__policy.yaml', 'examples__policy-advisor__sandbox-policy.yaml',
                     'crates__openshell-supervisor-network__testdata__sandbox-policy.yaml',
                     'examples__local-inference__sandbox-policy.yaml', 'examples__transparent-tcp-redis__policy.yaml'):
            with self.subTest(name=name):
                done = check(SAMPLES / name)
                self.assertEqual(done.returncode, 0, done.stderr)
