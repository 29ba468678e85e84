/* orch_policy_eval.h - the words "eval", "glob" and "path" of "policy": what the engine answers. */
#pragma once

/* eval --policy FILE: questions on standard input, decisions on standard output. */
int orch_policy_eval(int argc, char **argv);
/* glob DIALECT PATTERN VALUE, or glob --batch */
int orch_policy_glob(int argc, char **argv);
/* path [--allow-encoded-slash] TARGET, or path --batch */
int orch_policy_path(int argc, char **argv);
