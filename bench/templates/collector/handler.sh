#!/bin/sh
# SPDX-License-Identifier: Apache-2.0

date +'runs %s.%N' >>/var/log/bench.log
sleep 2
date +'ends %s.%N' >>/var/log/bench.log
