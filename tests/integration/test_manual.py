"""What the manual pages, README and docs/credentials.md show works as it is printed, and names what there is."""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import lab
from lab import LabTest

ROOT = pathlib.Path(__file__).parents[2]
SUPERVISOR_8 = (ROOT / 'docs/openshell-supervisor.8').read_text()
POLICY_5 = (ROOT / 'docs/openshell-policy.5').read_text()
CREDENTIALS = (ROOT / 'docs/credentials.md').read_text()
README = (ROOT / 'README.md').read_text()


def command(*argv):
    return subprocess.run([str(lab.SUPERVISOR), *map(str, argv)], capture_output=True, text=True, timeout=lab.WAIT)


def displays(page):
    """The examples of a manual page, as mandoc(1) would print them."""
    return [part.split('.Ed', 1)[0].split('\n', 1)[1] for part in page.split('\n.Bd -literal')[1:]]


def flags(page):
    return {m.replace(r'\-', '-') for m in re.findall(r'\bFl -([a-z][a-z-]*)', page)}


class Manual(LabTest):
    def setUp(self):
        super().setUp()
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix='lab-manual-', dir='/tmp'))
        self.addCleanup(shutil.rmtree, self.dir)

    def write(self, name, text):
        path = self.dir / name
        path.write_text(text)
        path.chmod(0o600)
        return path

    def good(self, done):
        self.assertEqual((done.returncode, done.stderr), (0, ''), done)
        return done.stdout

    def test_help_and_page_have_the_same_options(self):
        said = self.good(command('--help'))
        options = set(re.findall(r'^ +(?:-\w, )?--([a-z-]+)', said, re.M)) | {'version'}
        described = {m for line in re.findall(r'^\.It Fl .*', SUPERVISOR_8, re.M) for m in flags(line)}
        self.assertEqual(options, described)
        synopsis = flags(SUPERVISOR_8.split('.Sh DESCRIPTION')[0].split('\n.Nm\n.Cm')[0])
        self.assertLessEqual(options - {'help', 'version', 'policy-data', 'interactive', 'workdir'}, synopsis)

    def test_help_names_every_word(self):
        said, more = self.good(command('--help')), self.good(command('policy', '--help'))
        words = re.findall(r'openshell-supervisor policy ([a-z]+)', more)
        self.assertGreater(len(words), 10)
        listed = re.search(r'openshell-supervisor policy (\S+) ', said)[1].split('|')
        in_page = re.findall(r'^\.Cm policy ([a-z]+)$', SUPERVISOR_8.split('.Sh DESCRIPTION')[0], re.M)
        self.assertEqual((words, words), (listed, in_page))
        verbs = re.findall(r'^  ([a-z-]+) ', self.good(command('ctl', '--help')), re.M)
        self.assertEqual(verbs, re.search(r'openshell-supervisor ctl (\S+) ', said)[1].split('|'))
        self.assertIn('.Cm ' + ' | '.join(verbs), SUPERVISOR_8)
        for word in words:
            self.assertEqual(self.good(command('policy', word, '--help')), more)

    def test_unknown_word_is_named(self):
        done = command('policy', 'chekc')
        self.assertEqual((done.returncode, done.stdout), (2, ''))
        self.assertIn('chekc', done.stderr)
        self.assertIn('policy --help', done.stderr)

    def test_policies_that_are_shown_are_good(self):
        shown = [displays(POLICY_5)[0], *re.findall(r'```yaml\n(version.*?)```', README, re.S)]
        self.assertEqual(len(shown), 2)
        for text in shown:
            self.assertEqual(self.good(command('policy', 'lint', self.write('agent.yaml', text))), '')

    def test_readme_command_fits_its_policy(self):
        text = re.search(r'```yaml\n(version.*?)```', README, re.S)[1]
        url = re.search(r'--policy policy.yaml -- curl (\w+)://([\w.]+)', README)
        port = {'http': 80, 'https': 443}[url[1]]
        said = self.good(command('policy', 'explain', '--host', url[2], '--port', port, '--exe', '/usr/bin/curl',
                                 self.write('policy.yaml', text)))
        self.assertIn('allowed: ', said)

    def test_test_file_of_the_page_passes(self):
        policy, cases = displays(POLICY_5)
        self.write('agent.yaml', policy)
        self.assertIn('3 passed, 0 failed', self.good(command('policy', 'test', self.write('agent-test.yaml', cases))))

    def test_credentials_that_are_shown_are_taken(self):
        """But for gh, which is logged in nowhere."""
        secret = self.write('db', 'hunter2222\n')
        shown = (displays(SUPERVISOR_8)[0], re.search(r'```yaml\n(- name.*?)```', CREDENTIALS, re.S)[1])
        for text in shown:
            text = text.replace('[/usr/bin/gh, auth, token]', '[/bin/echo, ghp_abcdef]').replace('/run/secrets/db', str(secret))
            file = self.write('credentials.yaml', text)
            done = subprocess.run([str(lab.SUPERVISOR), '--policy', str(self.write('p.yaml', lab.policy())), '--credentials', str(file),
                                   '--', 'sh', '-c', 'echo $GITHUB_TOKEN $ANTHROPIC_API_KEY $REAL_KEY'], capture_output=True, text=True,
                                  timeout=lab.WAIT, env={**os.environ, 'REAL_KEY': 'sk-ant-abcdef'})
            self.assertEqual(done.returncode, 0, done)
            self.assertRegex(done.stdout, r'^openshell:resolve:env:s[0-9a-f]{64}_GITHUB_TOKEN sk-ant-OPENSHELL-RESOLVE-ENV-'
                                          r's[0-9a-f]{64}_ANTHROPIC_API_KEY\n$')

    def test_upstream_ca_says_what_is_wrong(self):
        policy = self.write('p.yaml', lab.policy())
        for name, want in ((self.dir / 'missing.pem', 'No such file'), (self.write('empty.pem', ''), '0 certificates'),
                           (self.dir, 'directory')):
            done = command('--policy', policy, '--upstream-ca', name, '--', 'true')
            self.assertEqual(done.returncode, 1, done)
            for word in ('--upstream-ca', str(name), want):
                self.assertIn(word, done.stderr)
