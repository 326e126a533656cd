// pellucid._core: the compiled core's door to Python. It offers nothing yet: opcodes, the program
// interpreter and the thread pool come in beside this file, and are made known here.
#define PY_SSIZE_T_CLEAN
#include <Python.h>

namespace {

PyMethodDef methods[] = {
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef_Slot slots[] = {
    {0, nullptr},
};

PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    "pellucid._core",
    "The compiled core of Pellucid; everything works without it, slower.",
    0,
    methods,
    slots,
    nullptr,
    nullptr,
    nullptr,
};

}  // namespace

PyMODINIT_FUNC PyInit__core() {
    return PyModuleDef_Init(&definition);
}
