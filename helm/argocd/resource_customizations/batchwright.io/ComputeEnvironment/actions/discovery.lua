-- spec.state is ENABLED where a manifest does not say it: the CRD's default.
local disabled = obj.spec.state == "DISABLED"
return {
  enable = {disabled = not disabled, iconClass = "fa fa-fw fa-play"},
  disable = {disabled = disabled, iconClass = "fa fa-fw fa-pause"}
}
