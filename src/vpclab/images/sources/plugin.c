/* aws-cni, egress-cni and grpc-health-probe as one program that needs nothing of its host: CPython, linked in statically,
 * with our modules and what they import frozen into it (frozen.h is made by vpclab/images/plugin.py).
 * Which of them it is, its name says. */

#define _GNU_SOURCE
#include <Python.h>
#include <sched.h>
#include <string.h>

#include "frozen.h"

static PyObject *set_namespace(PyObject *self, PyObject *args) {
  int fd, kind;
  (void)self;
  if (!PyArg_ParseTuple(args, "ii", &fd, &kind)) return NULL;
  if (setns(fd, kind)) return PyErr_SetFromErrno(PyExc_OSError);
  Py_RETURN_NONE;
}

/* Python has posix.setns from 3.12 on; there is no ctypes in here that could stand in for it. */
static PyMethodDef missing[] = {{"setns", set_namespace, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};

static void must(PyStatus status) {
  if (PyStatus_Exception(status)) Py_ExitStatusException(status);
}

static void start(int argc, char **argv) {
  PyPreConfig before;
  PyPreConfig_InitIsolatedConfig(&before);
  before.utf8_mode = 1;
  must(Py_PreInitialize(&before));

  PyConfig config;
  PyConfig_InitIsolatedConfig(&config);
  config.site_import = 0;
  config.use_frozen_modules = 1;
  config.write_bytecode = 0;
  config.optimization_level = 2;
  /* there is no standard library to look for */
  config.module_search_paths_set = 1;
  config.pathconfig_warnings = 0;
  must(PyConfig_SetBytesString(&config, &config.program_name, argv[0]));
  must(PyConfig_SetBytesString(&config, &config.executable, argv[0]));
  must(PyConfig_SetString(&config, &config.base_executable, L""));
  must(PyConfig_SetString(&config, &config.home, L""));
  must(PyConfig_SetString(&config, &config.prefix, L""));
  must(PyConfig_SetString(&config, &config.exec_prefix, L""));
  must(PyConfig_SetString(&config, &config.base_prefix, L""));
  must(PyConfig_SetString(&config, &config.base_exec_prefix, L""));
  must(PyConfig_SetBytesArgv(&config, argc, argv));
  must(Py_InitializeFromConfig(&config));
  PyConfig_Clear(&config);
}

int main(int argc, char **argv) {
  const char *slash = strrchr(argv[0], '/');
  const char *name = slash ? slash + 1 : argv[0];
  const char *module = "vpccni.cni.plugin";
  if (!strcmp(name, "egress-cni")) module = "vpccni.cni.egress";
  if (!strcmp(name, "grpc-health-probe")) module = "vpccni.cni.probe";

  PyImport_FrozenModules = frozen_modules;
  start(argc, argv);
  PyObject *posix = PyImport_ImportModule("posix");
  if (posix && !PyObject_HasAttrString(posix, "setns")) PyModule_AddFunctions(posix, missing);
  PyObject *program = posix ? PyImport_ImportModule(module) : NULL;
  if (!program || !PyObject_CallMethod(program, "main", NULL)) {
    PyErr_Print(); /* ends the program itself if it was SystemExit */
    return 1;
  }
  return Py_FinalizeEx() < 0; /* prints what is still held back; the plugins end before this */
}
