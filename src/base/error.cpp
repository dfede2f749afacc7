// SPDX-License-Identifier: BSL-1.0
#include "cairn/error.hpp"

namespace cairn::inline CAIRN_ABI {

// The destructors are here so that each class has one vtable and one typeinfo, in this library.
error::~error() = default;

#define CAIRN_ANCHOR(name) name::~name() = default
CAIRN_ANCHOR(segment_exists);
CAIRN_ANCHOR(no_such_segment);
CAIRN_ANCHOR(no_such_object);
CAIRN_ANCHOR(type_mismatch);
CAIRN_ANCHOR(version_mismatch);
CAIRN_ANCHOR(corrupt_segment);
CAIRN_ANCHOR(permission_denied);
CAIRN_ANCHOR(segment_full);
CAIRN_ANCHOR(object_gone);
CAIRN_ANCHOR(object_poisoned);
CAIRN_ANCHOR(refused);
CAIRN_ANCHOR(index_error);
CAIRN_ANCHOR(key_error);
CAIRN_ANCHOR(invalid_name);
CAIRN_ANCHOR(invalid_argument);
CAIRN_ANCHOR(invalid_state);
CAIRN_ANCHOR(would_deadlock);
CAIRN_ANCHOR(queue_closed);
CAIRN_ANCHOR(timeout_error);
CAIRN_ANCHOR(broken_barrier);
CAIRN_ANCHOR(cancelled_error);
CAIRN_ANCHOR(rejected_submission);
CAIRN_ANCHOR(worker_died);
CAIRN_ANCHOR(initializer_failed);
CAIRN_ANCHOR(system_failure);
CAIRN_ANCHOR(remote_error);
#undef CAIRN_ANCHOR

worker_died::worker_died(const std::string& what, const worker_death_details& how) : error(what), how_(how) {}

remote_error::remote_error(const std::string& type, const std::string& text)
    : error(type + ": " + text), type_(type), text_(text) {}

}  // namespace cairn::inline CAIRN_ABI
