// SPDX-License-Identifier: BSL-1.0
#include "support/shared_models.hpp"

namespace cairn_test {

template class pair_of_lists<char>;
template class pair_of_lists<long>;
template class pair_of_lists<large_struct>;
template class pair_of_lists<std::string>;
template class pair_of_lists<std::vector<int>>;

}  // namespace cairn_test
