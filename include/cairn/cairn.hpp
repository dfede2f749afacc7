// cairn.hpp - all of Cairn that needs only the standard library.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/language.hpp>

#include <cairn/barrier.hpp>
#include <cairn/channel.hpp>
#include <cairn/codec.hpp>
#include <cairn/condition.hpp>
#include <cairn/descriptor.hpp>
#include <cairn/dict.hpp>
#include <cairn/error.hpp>
#include <cairn/event.hpp>
#include <cairn/exception.hpp>
#include <cairn/executor.hpp>
#include <cairn/fields.hpp>
#include <cairn/future.hpp>
#include <cairn/inspect.hpp>
#include <cairn/latch.hpp>
#include <cairn/list.hpp>
#include <cairn/literals.hpp>
#include <cairn/manager.hpp>
#include <cairn/mutex.hpp>
#include <cairn/nursery.hpp>
#include <cairn/outcome.hpp>
#include <cairn/periodic.hpp>
#include <cairn/pool.hpp>
#include <cairn/process.hpp>
#include <cairn/process_pool_executor.hpp>
#include <cairn/queue.hpp>
#include <cairn/repr.hpp>
#include <cairn/result.hpp>
#include <cairn/segment.hpp>
#include <cairn/semaphore.hpp>
#include <cairn/service.hpp>
#include <cairn/service_control.hpp>
#include <cairn/service_manager.hpp>
#include <cairn/set.hpp>
#include <cairn/sharded_dict.hpp>
#include <cairn/task.hpp>
#include <cairn/thread_pool_executor.hpp>
#include <cairn/transaction.hpp>
#include <cairn/version.hpp>
