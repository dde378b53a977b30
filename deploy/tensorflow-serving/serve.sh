#!/bin/sh
# TensorFlow Serving, 2.18 or later, for what Waybill promotes. Put these files beside each other, set what is below, run it.
#
#   SERVING      WAYBILL_SERVING of the installation: the base paths, and models.config which every promotion writes
#   REST_PORT    REST; TensorFlow Serving binds it on all interfaces, so keep it behind a firewall, a gateway or a network of its own
#   GRPC_SOCKET  gRPC as a Unix socket; no port is opened for it
#
# Earlier versions read JSON by recursion, and a request of brackets ends them.
set -eu
here=$(dirname -- "$(readlink -f -- "$0")")
: "${SERVING:=/var/lib/waybill/serving}" "${REST_PORT:=8501}" "${GRPC_SOCKET:=/run/tensorflow-serving/grpc.sock}"

# Read again every 5 s, so that a promotion or a rollback is followed without a restart.
set -- "--model_config_file=$SERVING/models.config" --model_config_file_poll_wait_seconds=5
# The base paths are looked at each second.
set -- "$@" --file_system_poll_wait_seconds=1
# Without this the server does not start with labels in its file: no version is loaded yet when it reads them.
set -- "$@" --allow_version_labels_for_unavailable_models=true
# With 0, the default, versions are loaded in the loop that looks after all models: one that fails five times holds up every other for
# five minutes. Promoted models have been tried before, so one more try is for the disk's sake.
set -- "$@" --num_load_threads=2 --max_num_load_retries=1 --load_retry_interval_micros=2000000
# gRPC over a socket (0: no port); REST with answers within 30 s.
set -- "$@" --port=0 "--grpc_socket_path=$GRPC_SOCKET" "--rest_api_port=$REST_PORT" --rest_api_timeout_in_ms=30000
# The profiler answers whoever reaches the port, and is on by default.
set -- "$@" --enable_profiler=false
# Warm-up requests that a model brings along are replayed before it answers; a bad one fails the load, which the infra validator has seen.
set -- "$@" --enable_model_warmup=true
# /monitoring/prometheus/metrics on the REST port; the gateway must not pass it on.
set -- "$@" "--monitoring_config_file=$here/monitoring.config"
# Several small requests as one, within a millisecond: see batching.config.
set -- "$@" --enable_batching=true "--batching_parameters_file=$here/batching.config"
exec "${TENSORFLOW_MODEL_SERVER:-tensorflow_model_server}" "$@"
