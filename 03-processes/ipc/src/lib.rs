//! Nothing but an example: `1_4_4_1_ipc_channel`.
