// SPDX-License-Identifier: BSL-1.0
#include "support/shared_models.hpp"

namespace cairn_test {

template class dict_and_model<long, long>;
template class dict_and_model<std::string, std::string>;
template class dict_and_model<long, std::string>;

}  // namespace cairn_test
