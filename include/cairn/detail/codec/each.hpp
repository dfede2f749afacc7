// each.hpp - CAIRN_DETAIL_EACH(macro, type, a, b, c): macro(type, a), macro(type, b), macro(type, c), up to 64 names.
//
// One macro for each number of names. Shorter ones that expand themselves by rescanning exist, but then a compiler that
// complains about one field prints some hundred lines of macros.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

// clang-format off
#define CAIRN_DETAIL_EACH_1(m, t, a) m(t, a)
#define CAIRN_DETAIL_EACH_2(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_1(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_3(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_2(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_4(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_3(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_5(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_4(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_6(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_5(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_7(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_6(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_8(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_7(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_9(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_8(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_10(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_9(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_11(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_10(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_12(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_11(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_13(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_12(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_14(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_13(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_15(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_14(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_16(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_15(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_17(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_16(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_18(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_17(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_19(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_18(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_20(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_19(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_21(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_20(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_22(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_21(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_23(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_22(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_24(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_23(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_25(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_24(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_26(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_25(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_27(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_26(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_28(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_27(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_29(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_28(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_30(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_29(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_31(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_30(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_32(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_31(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_33(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_32(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_34(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_33(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_35(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_34(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_36(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_35(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_37(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_36(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_38(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_37(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_39(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_38(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_40(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_39(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_41(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_40(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_42(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_41(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_43(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_42(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_44(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_43(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_45(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_44(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_46(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_45(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_47(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_46(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_48(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_47(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_49(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_48(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_50(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_49(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_51(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_50(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_52(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_51(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_53(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_52(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_54(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_53(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_55(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_54(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_56(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_55(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_57(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_56(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_58(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_57(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_59(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_58(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_60(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_59(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_61(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_60(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_62(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_61(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_63(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_62(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_64(m, t, a, ...) m(t, a), CAIRN_DETAIL_EACH_63(m, t, __VA_ARGS__)
#define CAIRN_DETAIL_EACH_NAMED( \
    _1, _2, _3, _4, _5, _6, _7, _8, _9, _10, _11, _12, _13, _14, _15, _16, \
    _17, _18, _19, _20, _21, _22, _23, _24, _25, _26, _27, _28, _29, _30, _31, _32, \
    _33, _34, _35, _36, _37, _38, _39, _40, _41, _42, _43, _44, _45, _46, _47, _48, \
    _49, _50, _51, _52, _53, _54, _55, _56, _57, _58, _59, _60, _61, _62, _63, _64, \
    each, ...) each
#define CAIRN_DETAIL_EACH(macro, type, ...) CAIRN_DETAIL_EACH_NAMED(__VA_ARGS__, \
    CAIRN_DETAIL_EACH_64, CAIRN_DETAIL_EACH_63, CAIRN_DETAIL_EACH_62, CAIRN_DETAIL_EACH_61, \
    CAIRN_DETAIL_EACH_60, CAIRN_DETAIL_EACH_59, CAIRN_DETAIL_EACH_58, CAIRN_DETAIL_EACH_57, \
    CAIRN_DETAIL_EACH_56, CAIRN_DETAIL_EACH_55, CAIRN_DETAIL_EACH_54, CAIRN_DETAIL_EACH_53, \
    CAIRN_DETAIL_EACH_52, CAIRN_DETAIL_EACH_51, CAIRN_DETAIL_EACH_50, CAIRN_DETAIL_EACH_49, \
    CAIRN_DETAIL_EACH_48, CAIRN_DETAIL_EACH_47, CAIRN_DETAIL_EACH_46, CAIRN_DETAIL_EACH_45, \
    CAIRN_DETAIL_EACH_44, CAIRN_DETAIL_EACH_43, CAIRN_DETAIL_EACH_42, CAIRN_DETAIL_EACH_41, \
    CAIRN_DETAIL_EACH_40, CAIRN_DETAIL_EACH_39, CAIRN_DETAIL_EACH_38, CAIRN_DETAIL_EACH_37, \
    CAIRN_DETAIL_EACH_36, CAIRN_DETAIL_EACH_35, CAIRN_DETAIL_EACH_34, CAIRN_DETAIL_EACH_33, \
    CAIRN_DETAIL_EACH_32, CAIRN_DETAIL_EACH_31, CAIRN_DETAIL_EACH_30, CAIRN_DETAIL_EACH_29, \
    CAIRN_DETAIL_EACH_28, CAIRN_DETAIL_EACH_27, CAIRN_DETAIL_EACH_26, CAIRN_DETAIL_EACH_25, \
    CAIRN_DETAIL_EACH_24, CAIRN_DETAIL_EACH_23, CAIRN_DETAIL_EACH_22, CAIRN_DETAIL_EACH_21, \
    CAIRN_DETAIL_EACH_20, CAIRN_DETAIL_EACH_19, CAIRN_DETAIL_EACH_18, CAIRN_DETAIL_EACH_17, \
    CAIRN_DETAIL_EACH_16, CAIRN_DETAIL_EACH_15, CAIRN_DETAIL_EACH_14, CAIRN_DETAIL_EACH_13, \
    CAIRN_DETAIL_EACH_12, CAIRN_DETAIL_EACH_11, CAIRN_DETAIL_EACH_10, CAIRN_DETAIL_EACH_9, \
    CAIRN_DETAIL_EACH_8, CAIRN_DETAIL_EACH_7, CAIRN_DETAIL_EACH_6, CAIRN_DETAIL_EACH_5, \
    CAIRN_DETAIL_EACH_4, CAIRN_DETAIL_EACH_3, CAIRN_DETAIL_EACH_2, CAIRN_DETAIL_EACH_1, \
    CAIRN_DETAIL_EACH_0) (macro, type, __VA_ARGS__)
// clang-format on
