using Gongzhi.Core.Catalog;
using Gongzhi.Core.Parties;

namespace Gongzhi.Core.Policy;

public sealed partial class PolicyEngine
{
    /// <summary>
    /// Whether the caller may supersede a record that <paramref name="contributor"/> contributed. That the caller may contribute to the dataset at
    /// all is decided before and apart.
    /// </summary>
    public Permission DecideSupersede(Caller caller, Dataset dataset, string contributor, DateTimeOffset now)
    {
        if (caller.Party.Length > 0 && caller.Party == contributor)
            return new(true, [new("supersede.own", "You contributed the record.", "该记录由您提交。")]);
        return Stewards(caller, dataset, now)
            ? new(true, [new("supersede.steward", "You are a steward of the unit that owns the dataset.", "您是数据集所有单位的数据管理员。")])
            : new(false, [new("supersede.notYours", "Only who contributed a record, or a steward of the owning unit, supersedes it.", "只有记录的提交者或所有单位的数据管理员可以更正该记录。")]);
    }

    /// <summary>Whether the caller may erase records of the dataset.</summary>
    public Permission DecideErase(Caller caller, Dataset dataset, DateTimeOffset now) => Stewards(caller, dataset, now)
        ? new(true, [new("erase.steward", "You are a steward of the unit that owns the dataset.", "您是数据集所有单位的数据管理员。")])
        : new(false, [new("erase.notYours", "Only a steward of the owning unit erases records.", "只有所有单位的数据管理员可以删除记录。")]);

    private bool Stewards(Caller caller, Dataset dataset, DateTimeOffset now) =>
        directory.Holdings(caller, now).Any(h => h.Role == Roles.Steward && h.Unit == dataset.Owner);
}
