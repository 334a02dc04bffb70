{
  # node-gyp's way in: everything is CMakeLists.txt's, through the set-up.
  "targets": [
    {
      "target_name": "cornernet",
      "type": "none",
      "actions": [
        {
          "action_name": "setup",
          "inputs": ["CMakeLists.txt"],
          "outputs": ["build/Release/cornernet.node"],
          "action": ["node", "setup/gyp.js"]
        }
      ]
    }
  ]
}
