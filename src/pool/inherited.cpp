// SPDX-License-Identifier: BSL-1.0
#include "pool/inherited.hpp"

#include "os/supervision.hpp"
#include "segment/internals.hpp"
#include "segment/participants.hpp"
#include "segment/registry.hpp"

namespace cairn::inline CAIRN_ABI::detail {

void leave_other_segments(const segment* own) noexcept {
    for (segment* s : registry::attached_here())
        if (s != own && s->is_writable()) unregister_participant(*s);
}

void close_inherited_descriptors(std::vector<int> kept) {
    for (const segment* s : registry::attached_here())
        if (s->internals().descriptor.valid()) kept.push_back(s->internals().descriptor.get());
    os::close_other_descriptors(kept);
}

}  // namespace cairn::inline CAIRN_ABI::detail
