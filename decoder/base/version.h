/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder/base/version.h -- of all programs. */
#pragma once

#define MQSHARK_VERSION "0.1.0"
