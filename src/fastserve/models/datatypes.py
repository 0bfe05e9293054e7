"""The protocol's datatypes by numpy's names. BYTES and BF16 have none.

Names, not dtypes: numpy is imported only where a version brings examples. The client has its own
table, since it is installed without the server.
"""

from typing import Final

NUMPY_NAMES: Final = {
    "BOOL": "bool",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "FP16": "float16",
    "FP32": "float32",
    "FP64": "float64",
}
