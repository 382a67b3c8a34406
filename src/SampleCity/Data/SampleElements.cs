namespace Gongzhi.SampleCity;

/// <summary>How carefully values of an element are to be handled.</summary>
public enum Sensitivity { Public, Internal, Personal, SensitivePersonal }

/// <summary>One thing worth knowing, to which fields of several datasets may be bound (ISO/IEC 11179).</summary>
/// <param name="Id">Lower-case letters, digits and hyphens.</param>
/// <param name="Type">A field type of the table schema.</param>
/// <param name="Unit">Unit of measure, or null.</param>
/// <param name="CodeList">Id of a code list, or null.</param>
/// <param name="ElementType">A check beyond the type: <c>identity-number</c>, <c>unified-credit-code</c>, or null.</param>
/// <param name="Name">What people call it.</param>
/// <param name="Sensitivity">How carefully its values are to be handled.</param>
public sealed record SampleElement(
    string Id, Bilingual Name, string Type, string? Unit, string? CodeList, Sensitivity Sensitivity, string? ElementType = null);

/// <summary>A closed list of codes with their meanings.</summary>
public sealed record SampleCodeList(string Id, Bilingual Name, IReadOnlyList<SampleCode> Codes);

/// <summary>One code of a list.</summary>
public sealed record SampleCode(string Code, Bilingual Name);

/// <summary>The elements and code lists that the sample datasets use.</summary>
public static class SampleElements
{
    private static readonly SampleCodeList Sex = List("sex", "Sex", "性别", ("1", "Male", "男"), ("2", "Female", "女"));

    private static readonly SampleCodeList Occupation = List(
        "occupation", "Occupation", "职业类别",
        ("preschool", "Before school age", "学龄前"), ("student", "Student", "学生"), ("manager", "Manager", "负责人"),
        ("professional", "Professional", "专业技术人员"), ("clerk", "Clerk", "办事人员"), ("service", "Service worker", "服务人员"),
        ("farmer", "Farm worker", "农林牧渔人员"), ("production", "Production worker", "生产制造人员"), ("home", "At home", "料理家务"),
        ("unemployed", "Unemployed", "待业"), ("retired", "Retired", "离退休"));

    // Letters follow the sections of GB/T 4754.
    private static readonly SampleCodeList Industry = List(
        "industry", "Industry", "行业门类",
        ("A", "Agriculture", "农、林、牧、渔业"), ("C", "Manufacturing", "制造业"), ("D", "Power, gas and water", "电力、热力、燃气及水生产和供应业"),
        ("E", "Construction", "建筑业"), ("F", "Wholesale and retail", "批发和零售业"), ("G", "Transport and post", "交通运输、仓储和邮政业"),
        ("H", "Lodging and catering", "住宿和餐饮业"), ("I", "Information technology", "信息传输、软件和信息技术服务业"),
        ("K", "Property", "房地产业"), ("L", "Leasing and business services", "租赁和商务服务业"), ("M", "Research and technical services", "科学研究和技术服务业"),
        ("O", "Household and repair services", "居民服务、修理和其他服务业"), ("P", "Education", "教育"), ("Q", "Health and social work", "卫生和社会工作"),
        ("R", "Culture, sport and leisure", "文化、体育和娱乐业"));

    private static readonly SampleCodeList RequestCategory = List(
        "request-category", "Request category", "诉求类别",
        ("water-supply", "Water supply", "供水"), ("drainage", "Drainage", "排水"), ("power", "Power", "供电"), ("roads", "Roads", "道路"),
        ("street-lighting", "Street lighting", "路灯"), ("noise", "Noise", "噪声"), ("waste", "Waste", "垃圾"), ("parking", "Parking", "停车"),
        ("property", "Property management", "物业"), ("greenery", "Greenery", "绿化"), ("transport", "Public transport", "公共交通"),
        ("benefits", "Social benefits", "社会保障"));

    private static readonly SampleCodeList Channel = List(
        "request-channel", "Request channel", "诉求渠道",
        ("hotline", "Hotline", "热线"), ("app", "App", "应用"), ("web", "Web", "网站"), ("visit", "Visit", "来访"), ("worker", "Grid worker", "网格员"));

    private static readonly SampleCodeList PaymentCategory = List(
        "payment-category", "Payment category", "支付类别",
        ("meals", "Meals", "餐饮"), ("lodging", "Lodging", "住宿"), ("transport", "Transport", "交通"), ("office-supplies", "Office supplies", "办公用品"),
        ("services", "Business services", "商务服务"), ("training", "Training", "培训"), ("repair", "Repair", "维修"), ("culture", "Culture", "文体活动"));

    /// <summary>All code lists.</summary>
    public static IReadOnlyList<SampleCodeList> CodeLists { get; } =
        [Sex, Occupation, Industry, RequestCategory, Channel, PaymentCategory, PaymentsGenerator.CategoryCodes];

    /// <summary>All elements.</summary>
    public static IReadOnlyList<SampleElement> All { get; } =
    [
        new("identity-number", new("Identity number", "公民身份号码"), "string", null, null, Sensitivity.SensitivePersonal, "identity-number"),
        new("person-name", new("Name", "姓名"), "string", null, null, Sensitivity.Personal),
        new("sex", new("Sex", "性别"), "string", null, "sex", Sensitivity.Personal),
        new("birth-date", new("Date of birth", "出生日期"), "date", null, null, Sensitivity.Personal),
        new("community", new("Community", "社区"), "place", null, null, Sensitivity.Public),
        new("cell", new("Grid cell", "网格"), "place", null, null, Sensitivity.Internal),
        new("household", new("Household number", "户号"), "string", null, null, Sensitivity.Personal),
        new("occupation", new("Occupation", "职业类别"), "string", null, "occupation", Sensitivity.Personal),
        new("updated-date", new("Date of update", "更新日期"), "date", null, null, Sensitivity.Internal),
        new("unified-credit-code", new("Unified social credit code", "统一社会信用代码"), "string", null, null, Sensitivity.Public, "unified-credit-code"),
        new("firm-name", new("Name of firm", "企业名称"), "string", null, null, Sensitivity.Public),
        new("industry", new("Industry", "行业门类"), "string", null, "industry", Sensitivity.Public),
        new("staff-count", new("Number of staff", "从业人数"), "integer", "person", null, Sensitivity.Internal),
        new("registered-date", new("Date of registration", "成立日期"), "date", null, null, Sensitivity.Public),
        new("month", new("Month", "月份"), "yearmonth", null, null, Sensitivity.Public),
        new("population", new("Population", "人口数"), "integer", "person", null, Sensitivity.Public),
        new("households", new("Number of households", "户数"), "integer", "household", null, Sensitivity.Public),
        new("births", new("Births", "出生人数"), "integer", "person", null, Sensitivity.Public),
        new("deaths", new("Deaths", "死亡人数"), "integer", "person", null, Sensitivity.Public),
        new("moved-in", new("Moved in", "迁入人数"), "integer", "person", null, Sensitivity.Public),
        new("moved-out", new("Moved out", "迁出人数"), "integer", "person", null, Sensitivity.Public),
        new("request-number", new("Request number", "诉求编号"), "string", null, null, Sensitivity.Internal),
        new("request-category", new("Request category", "诉求类别"), "string", null, "request-category", Sensitivity.Public),
        new("request-channel", new("Request channel", "诉求渠道"), "string", null, "request-channel", Sensitivity.Public),
        new("request-summary", new("Summary", "诉求摘要"), "string", null, null, Sensitivity.Internal),
        new("opened-time", new("Time opened", "受理时间"), "datetime", null, null, Sensitivity.Public),
        new("closed-time", new("Time closed", "办结时间"), "datetime", null, null, Sensitivity.Public),
        new("station", new("Station", "监测站"), "string", null, null, Sensitivity.Public),
        new("observed-time", new("Time of observation", "观测时间"), "datetime", null, null, Sensitivity.Public),
        new("pm25", new("PM2.5", "细颗粒物"), "number", "µg/m³", null, Sensitivity.Public),
        new("pm10", new("PM10", "可吸入颗粒物"), "number", "µg/m³", null, Sensitivity.Public),
        new("no2", new("Nitrogen dioxide", "二氧化氮"), "number", "µg/m³", null, Sensitivity.Public),
        new("o3", new("Ozone", "臭氧"), "number", "µg/m³", null, Sensitivity.Public),
        new("payment-number", new("Payment number", "支付编号"), "string", null, null, Sensitivity.Internal),
        new("card-number", new("Card number", "卡号"), "string", null, null, Sensitivity.Internal),
        new("paying-unit", new("Paying unit", "付款单位"), "string", null, null, Sensitivity.Public),
        new("merchant", new("Merchant", "商户"), "string", null, null, Sensitivity.Public),
        new("payment-category", new("Payment category", "支付类别"), "string", null, "payment-category", Sensitivity.Public),
        new("payment-amount", new("Amount", "金额"), "number", "CNY", null, Sensitivity.Internal),
        new("paid-time", new("Time of payment", "支付时间"), "datetime", null, null, Sensitivity.Internal),
        new("sequence-number", new("Sequence number", "序号"), "integer", null, null, Sensitivity.Internal),
        new("merchant-category", new("Merchant category", "商户类别"), "string", null, "merchant-category", Sensitivity.Public),
    ];

    /// <exception cref="KeyNotFoundException">There is no such element.</exception>
    public static SampleElement Get(string id) =>
        All.FirstOrDefault(element => element.Id == id) ?? throw new KeyNotFoundException($"No element '{id}'.");

    /// <exception cref="KeyNotFoundException">There is no such list.</exception>
    public static SampleCodeList GetCodeList(string id) =>
        CodeLists.FirstOrDefault(list => list.Id == id) ?? throw new KeyNotFoundException($"No code list '{id}'.");

    private static SampleCodeList List(string id, string en, string zh, params (string Code, string En, string Zh)[] codes) =>
        new(id, new(en, zh), [.. codes.Select(code => new SampleCode(code.Code, new(code.En, code.Zh)))]);
}
