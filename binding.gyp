{
  # node-gyp's way in: everything is CMakeLists.txt's, through cmake-js.
  "targets": [
    {
      "target_name": "cornernet",
      "type": "none",
      "actions": [
        {
          "action_name": "cmake-js",
          "inputs": ["CMakeLists.txt"],
          "outputs": ["build/Release/cornernet.node"],
          "action": ["node", "setup/gyp.js"]
        }
      ]
    }
  ]
}
