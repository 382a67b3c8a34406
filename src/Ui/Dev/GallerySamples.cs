using Gongzhi.Ui.Views;

namespace Gongzhi.Ui.Dev;

/// <summary>Made-up values for the gallery, in one of the two languages; nothing else uses them.</summary>
internal sealed class GallerySamples
{
    private readonly bool zh;

    internal GallerySamples(DateTimeOffset now, bool zh)
    {
        this.zh = zh;
        Now = now;
        var bus = new DatasetItem("bus-arrivals", Say("Bus arrivals", "公交到站"), Say("Transport bureau", "市交通运输局"), "/dev/ui?view=dataset",
            Sharing.Unconditional, Opening.Open, DataClass.General, false,
            Say("When each bus reached each stop, every day.", "每日各线路公交车到达各站点的时间。"), 1_284_310, now.AddMinutes(-7));
        var checkpoint = new CheckpointItem(48_213, Root, now.AddMinutes(-2), new(48_207, now.AddMinutes(-3), ["witness.example/audit", "witness.example/press"]), "city.example/ledger\n48213\n" + Root + "\n\n— city.example/ledger Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n");
        Home = new(42, 18_554_902, 17, checkpoint);
        Catalogue = new(
            [
                bus,
                new("cards", Say("Card payments", "公务卡支付"), Say("Finance bureau", "市财政局"), "/dev/ui?view=dataset", Sharing.Conditional,
                    Opening.OnRequest, DataClass.Important, false, Say("Payments made with official cards.", "使用公务卡支付的明细。"), 95_076, now.AddDays(-2)),
                new("residents", Say("Household register", "户籍信息"), Say("Public security bureau", "市公安局"), "/dev/ui?view=dataset", Sharing.None,
                    Opening.Closed, DataClass.Core, true),
            ],
            null, null, 42, new(null, "/data?after=x", 1, 3, 42), CatalogueFileHref: "/catalog.jsonld");
        Dataset = new(bus, null, 3,
            [
                new("line", Say("Line", "线路"), Say("text", "文本"), Say("Bus line", "公交线路"), "/elements/line", [Say("required", "必填")], FieldSensitivity.Plain),
                new("delay", Say("Delay", "晚点时长"), Say("whole number", "整数"), Say("Delay", "晚点时长"), null, [Say("at least 0", "不小于 0")], FieldSensitivity.Plain, Say("seconds", "秒")),
                new("driver", Say("Driver", "驾驶员"), Say("text", "文本"), null, null, [], FieldSensitivity.Identifying),
            ],
            [new(Say("Bus company", "市公交集团"), 1_200_000, now.AddMinutes(-7)), new(Say("Eastern district", "东城区交通局"), 84_310, now.AddHours(-3))],
            [new("CSV", "/x.csv", 73_400_320), new("Parquet", "/x.parquet", 5_767_168), new("Excel", "/x.xlsx", null, Say("made on request", "按需生成"))],
            null, "/api/v1/datasets/bus-arrivals",
            [
                new(now.AddDays(-1), Say("Field “delay” added", "新增字段“晚点时长”"), Say("Version 3", "版本 3"), Tone.Good),
                new(now.AddDays(-40), Say("Registered", "登记"), Say("By the transport bureau", "由市交通运输局登记")),
            ],
            [12, 18, 17, 22, 30, 26, 28, 41, 38, 35, 44, 52], [.. Enumerable.Range(1, 12).Select(x => Say($"Week {x}", $"第 {x} 周"))], "/upload",
            new(SealSubject.Batch, 48_211, 48_213, now.AddMinutes(-2), Root, 2, "/proof"));
        Upload = new("/upload", [new("bus", bus.Title), new("cards", Say("Card payments", "公务卡支付"))], "bus", false, 256L << 20);
        Report = new("arrivals-2026-03.csv", bus.Title, true, 12_040, 37, 12_040,
            [
                new(7, "delay", "type", Say("“soon” is not a whole number. Write seconds, such as 90.", "“马上”不是整数，请填写秒数，例如 90。")),
                new(12, "line", "required", Say("The line is missing.", "缺少线路。")),
                new(15, null, "duplicate", Say("Row 15 is the same as row 3.", "第 15 行与第 3 行重复。")),
            ],
            "/rejects.csv", "018f3c2a-7d10-7c44-9a51-0c6a1f0b2e77", "/receipts/x", now, new(SealSubject.Batch, null));
        Ledger = new("city.example/ledger", "city.example/ledger+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", checkpoint,
            [
                new(48_212, Say("Batch", "数据批次"), bus.Title, now.AddMinutes(-2), "/p"),
                new(48_211, Say("Grant", "授权"), Say("Card payments", "公务卡支付"), now.AddMinutes(-9), "/p"),
                new(48_210, Say("Access", "调阅"), null, now.AddMinutes(-12)),
            ],
            new(null, "/ledger?before=48210", 1, 3, 48_213));
        Checked = new(CheckVerdict.Genuine, "proof.json", null, new(SealSubject.Record, 48_001, 48_213, now, Root, 2, "/p"));
        SignIn = new("/sign-in", "/", "zhang", [new("password", Say("The user name or the password is wrong.", "用户名或密码不正确。"))], null,
            new("/external", Say("the city account", "政务统一身份认证平台")));
        Roles = new(Say("Zhang Min", "张敏"),
            [
                new(Say("Data steward", "数据管理员"), Say("Transport bureau", "市交通运输局"), Say("Whole city", "全市"),
                    [Say("send in data for 3 datasets", "报送 3 个数据集"), Say("change their fields", "修改字段"), Say("decide on requests for access", "审批授权申请")]),
                new(Say("Auditor", "审计员"), Say("Audit bureau", "市审计局"), Say("Eastern district", "东城区"),
                    [Say("read card payments, names masked", "调阅公务卡支付（姓名脱敏）")], now.AddMonths(6)),
            ],
            [new(Say("Card payments", "公务卡支付"), "/d", Say("Audit", "审计"), Say("names masked", "姓名脱敏"), now.AddMonths(6))]);
    }

    private const string Root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";

    internal DateTimeOffset Now { get; }

    internal HomeModel Home { get; }

    internal CatalogueModel Catalogue { get; }

    internal DatasetModel Dataset { get; }

    internal UploadModel Upload { get; }

    internal UploadReport Report { get; }

    internal LedgerModel Ledger { get; }

    internal CheckResult Checked { get; }

    internal SignInModel SignIn { get; }

    internal RolesModel Roles { get; }

    internal string BarCaption => Say("On time, by line", "各线路准点率");

    internal IReadOnlyList<Bar> Bars => [new(Say("Line 1", "1 路"), 93.5m), new(Say("Line 12", "12 路"), 81m), new(Say("Night line", "夜班线"), 40.25m)];

    internal string NameLabel => Say("Name", "姓名");

    internal string NameHint => Say("As on your papers.", "与证件一致。");

    internal string PhoneLabel => Say("Phone", "手机号");

    internal string PhoneError => Say("Write all 11 digits of the phone number.", "请填写 11 位手机号。");

    internal string KindLabel => Say("Kind", "类型");

    internal string MoreLabel => Say("Anything else?", "补充说明");

    internal string FileLabel => Say("Photo", "照片");

    private string Say(string en, string cn) => zh ? cn : en;
}
