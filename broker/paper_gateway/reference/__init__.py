"""What the gateway tells of companies and markets beside prices: news, reports, earnings dates, scans."""
