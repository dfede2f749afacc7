// SPDX-License-Identifier: BSL-1.0
#include "support/shared_models.hpp"

namespace cairn_test {

template class queue_and_model<cairn::queue<long>>;
template class queue_and_model<cairn::queue<std::string>>;
template class queue_and_model<cairn::queue<large_struct>>;
template class queue_and_model<cairn::lifo_queue<long>>;
template class queue_and_model<cairn::lifo_queue<std::string>>;
template class queue_and_model<cairn::priority_queue<long>>;
template class queue_and_model<cairn::priority_queue<std::string>>;

}  // namespace cairn_test
