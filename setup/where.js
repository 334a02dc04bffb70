// Prints the LibTorch that the set-up takes, for a CMake that nobody told (cmake/FindLibTorch.cmake); nothing when none is here.
'use strict';
const { makePlan } = require('./plan.js');

makePlan({ source: true }).then(
  ({ libtorch }) => process.stdout.write(libtorch?.folder ?? ''),
  () => undefined,
);
