// shared_models.hpp - the models of the element types that several tests use, compiled once (shared_*_models.cpp).
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <vector>

#include "support/dict_model.hpp"
#include "support/list_model.hpp"
#include "support/queue_model.hpp"
#include "support/values.hpp"

namespace cairn_test {

extern template class pair_of_lists<char>;
extern template class pair_of_lists<long>;
extern template class pair_of_lists<large_struct>;
extern template class pair_of_lists<std::string>;
extern template class pair_of_lists<std::vector<int>>;

extern template class dict_and_model<long, long>;
extern template class dict_and_model<std::string, std::string>;
extern template class dict_and_model<long, std::string>;

extern template class queue_and_model<cairn::queue<long>>;
extern template class queue_and_model<cairn::queue<std::string>>;
extern template class queue_and_model<cairn::queue<large_struct>>;
extern template class queue_and_model<cairn::lifo_queue<long>>;
extern template class queue_and_model<cairn::lifo_queue<std::string>>;
extern template class queue_and_model<cairn::priority_queue<long>>;
extern template class queue_and_model<cairn::priority_queue<std::string>>;

}  // namespace cairn_test
