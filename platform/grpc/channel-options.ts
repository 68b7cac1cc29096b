import type { ChannelOptions } from '@grpc/grpc-js';

/** Limits and timing of one gRPC endpoint. */
export interface EndpointOptions {
  /** Largest message sent or taken; default 32 MiB (a 1080p RGB picture is 6 MiB). */
  readonly maxMessageBytes?: number;
  /** Ask a silent peer every 10 s whether it is there; default true. Servers of others may cut off who asks more often than every 5 minutes, as gRPC's C++ server does. */
  readonly keepAlive?: boolean;
}

export const channelOptions = (options: EndpointOptions): ChannelOptions => {
  const maxMessageBytes = options.maxMessageBytes ?? 32 * 1024 * 1024;
  return {
    'grpc.max_receive_message_length': maxMessageBytes,
    'grpc.max_send_message_length': maxMessageBytes,
    // A peer that vanished without closing (another host's power cut) is noticed within 15 s.
    ...(options.keepAlive === false ? {} : { 'grpc.keepalive_time_ms': 10_000, 'grpc.keepalive_timeout_ms': 5_000, 'grpc.keepalive_permit_without_calls': 1 }),
    // Several pictures at once without waiting for a window update.
    'grpc-node.flow_control_window': 4 * 1024 * 1024,
  };
};

/** On top of `channelOptions`, for a server that strangers reach: what one connection may hold is bounded in calls, memory and time. */
export const publicServerOptions: ChannelOptions = {
  'grpc.max_concurrent_streams': 100,
  // Megabytes of nghttp2's own memory (header tables, stream states, frames to be written).
  'grpc-node.max_session_memory': 10,
  'grpc-node.flow_control_window': 64 * 1024,
  'grpc.max_connection_idle_ms': 300_000,
  // Calls that never end, a health watch for one, begin anew after an hour on another connection.
  'grpc.max_connection_age_ms': 3_600_000,
  'grpc.max_connection_age_grace_ms': 30_000,
};

/** On top of `channelOptions`, for a client. */
export const clientChannelOptions = (options: EndpointOptions): ChannelOptions => ({
  ...channelOptions(options),
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 2_000,
  // Who calls decides what is repeated.
  'grpc.enable_retries': 0,
  // Never through a proxy of the environment: these are our own processes.
  'grpc.enable_http_proxy': 0,
  'grpc.use_local_subchannel_pool': 1,
});

/** True for `unix:/path`: reachable only by who may open the socket file. */
export const isUnixAddress = (address: string): boolean => address.startsWith('unix:');
